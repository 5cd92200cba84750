"""What a person sees of a run, and the streams that it goes to.

May import all of `running` but the commands. Start with `progress.py`.
"""
