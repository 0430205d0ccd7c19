"""SQLAlchemy's plugin for pytest, which makes its dialect suite run against the database of --dburi."""

import pytest

pytest.register_assert_rewrite("sqlalchemy.testing.assertions")

# pylint: disable=wildcard-import,unused-wildcard-import,wrong-import-position
from sqlalchemy.testing.plugin.pytestplugin import *
from sqlalchemy.dialects.postgresql import provision

# The tests of extensions are not in this suite; it would make the extensions before the first test all the same.
provision._extensions.clear()  # pylint: disable=protected-access
