"""Measurements that one can repeat: `make bench` lists them, each is a command."""
