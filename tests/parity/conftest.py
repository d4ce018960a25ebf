from tests.parity.case import case

__all__ = ["case"]
