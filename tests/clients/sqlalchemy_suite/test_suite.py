"""All tests that SQLAlchemy has for the writers of dialects."""

# pylint: disable=wildcard-import,unused-wildcard-import
from sqlalchemy.testing.suite import *
