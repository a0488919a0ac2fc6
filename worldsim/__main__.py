"""`python -m worldsim` is the command `worldsim`."""

from worldsim.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
