"""``python -m minigan`` is the ``minigan`` command."""

from minigan.cli import main

main()
