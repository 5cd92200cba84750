"""The scans of a batch: which files they are, and under which name their results go.

May import `imaging`; nothing here estimates or writes anything. Start with `tasks.py`.
"""
