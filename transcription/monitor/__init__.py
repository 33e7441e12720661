"""What one can see of the gates and servers: stats, the last day's history, Prometheus metrics, and the monitor's page.

It reads the snapshot of `transcription.service` and changes nothing but the limit, on an admin's order.
"""
