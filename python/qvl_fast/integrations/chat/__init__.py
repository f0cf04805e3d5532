"""Conversations to what a model reads, and how many tokens that is."""

from qvl_fast.integrations.chat.counting import count_tokens
from qvl_fast.integrations.chat.preparing import prepare
from qvl_fast.integrations.chat.request import Road

__all__ = ["Road", "count_tokens", "prepare"]
