"""`python -m app.cli` is `komgick`."""

from app.cli import main

if __name__ == "__main__":
    main()
