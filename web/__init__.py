"""The ground that knows no business: bounds on connections, headers, bodies and log lines, the shape of errors,
throttles, probes of the process's parts, and file modes. It imports nothing of the product's other packages.
"""
