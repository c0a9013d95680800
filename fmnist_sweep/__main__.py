"""``python -m fmnist_sweep`` is ``fmnist-sweep``."""

from fmnist_sweep.cli.main import main

if __name__ == "__main__":
    main()
