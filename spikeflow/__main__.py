"""`python -m spikeflow` is the command `spikeflow`."""

from spikeflow.cli import main

if __name__ == "__main__":
    main()
