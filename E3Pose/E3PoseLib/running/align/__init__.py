"""``e3pose align`` and ``e3pose reorient``: stacks of one fetus in one upright frame, and one volume upright.

May import what `running` may. Start with `command.py`; `reading.py` takes the stacks in, `writing.py` has what is
written, `next_steps.py` the commands of reconstruction programs, and `reorient.py` the second command. Which stacks
agree, and where, is in `alignment`.
"""
