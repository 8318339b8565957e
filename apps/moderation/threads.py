"""Where rules look at texts: an expression may take its whole time, and many requests may come at once.

At the bound requests wait for a thread, and that is a part of the time that their rules have: what was not begun by
then is unchecked, so nobody waits for much longer than `matching.REQUEST_LIMIT_S`.
"""

import os

from apps.core.threads import OwnThreads

rule_threads = OwnThreads("rules", max(2, os.cpu_count() or 1))
