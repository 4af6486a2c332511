"""The breaker, whole, in one room: one circuit per endpoint and model, shared by every worker."""
