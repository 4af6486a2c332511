"""What can be wrong with the values of a run; each is one line for a person that ends in what to do next.

VaultError          never about what a value says: these lines go to logs and histories unsealed
  SettingInvalid    a variable of the environment is not what it should be
  KeyMissing        a value was sealed with a key that this process has not got
  Forged            a value does not open with the key it names, or was changed
  NotShared         a large value would be where those who need it may not reach it
  BlobsUnavailable  the place of the large values cannot be used now; trying again makes sense
  BlobMissing       a large value is not where it should be
  BlobDamaged       a large value is not what was put there
"""

from __future__ import annotations


class VaultError(Exception):
    """`str()` is one line for a person."""


class SettingInvalid(VaultError):
    """A variable is malformed, or asks for something that is not installed."""


class KeyMissing(VaultError):
    """Sealed with a key that is not here; nothing is lost, it opens where the key is."""


class Forged(VaultError):
    """The key's id is known, but the value does not open with it."""


class NotShared(VaultError):
    """There is no place for a large value that whoever reads it can be known to reach."""


class BlobsUnavailable(VaultError):
    """The store of large values does not take or give anything: full, read-only, gone."""


class BlobMissing(VaultError):
    """No large value of this name."""


class BlobDamaged(VaultError):
    """The bytes do not have the digest that is their name."""
