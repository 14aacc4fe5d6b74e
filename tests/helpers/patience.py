"""How much longer than on an idle machine a test waits before it fails: on a busy one a correct job is merely late."""

PATIENCE = 4
