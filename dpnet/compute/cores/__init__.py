"""Processor cores: how many this process may use, and what else runs on them.

All of dpnet asks here: `launch`, `tune`, threads and messages count alike. Nothing here knows ranks or imports numpy:
threads are set before numpy is imported.
"""
