"""``python -m minigan`` is the ``minigan`` command."""

from minigan.cli import main

if __name__ == "__main__":
    main()
