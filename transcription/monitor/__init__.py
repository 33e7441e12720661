"""What one can see of the gate and the servers: stats, the last day's history, Prometheus metrics, the monitor's page.

It reads the snapshot of `transcription.service` and changes nothing but the limit, on an admin's order.
"""
