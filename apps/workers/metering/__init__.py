"""The meter at the only way to a worker: every call reserves before it is sent and is settled when it has ended.

`relay` wraps its doors with these decorators, so whoever asks the pool is metered and can not forget it. How a call
ends decides what is settled:

* the worker told the usage: that, exactly;
* whoever asked for a stream left, or the worker died in mid-answer: what was delivered, a token for each piece of
  text, and the prompt counted; marked as estimated;
* whoever waited for a whole answer left: nobody knows, so all that might have been written; marked as estimated;
* whoever asked left before any worker was asked: nothing, and it does not count as a request;
* the worker refused the call: nothing, but it counts as a request; it failed on our side: not even that;
* an answer that outlives its reader is left open when the reader leaves, and settled by the one that takes it over;
  if no worker was ever asked, by whoever writes its end or deletes it (see `apps.conversations`);
* this process dies: the reservation expires and is settled by rule (see `apps.accounts.ledger`).
"""

from apps.workers.metering.doors import metered_answer, metered_follow, metered_stream
from apps.workers.metering.together import reserve_together

__all__ = ["metered_answer", "metered_follow", "metered_stream", "reserve_together"]
