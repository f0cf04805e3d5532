"""The entry point by which vLLM calls us in each of its processes.

vLLM runs what a package registers under ``vllm.general_plugins`` wherever it starts a process. That
is the only way into its workers: what a program does before it starts them, they do not see.
"""

from qvl_fast import environment


def register() -> None:
    """Put our processors in the place of those of transformers, if ``QVL_FAST_VLLM`` is 1.

    Otherwise it does nothing: a package that is merely installed changes no program. See
    :func:`qvl_fast.integrations.transformers.register`, which is called with ``default=True``; the
    device policy is that of ``QVL_FAST_DEVICE_POLICY``. To be called again is no change.

    Raises:
        ValueError: the variable is neither 0 nor 1.
        ImportError: it is 1, and ``qvl-fast[transformers]`` is not installed.
    """
    if not environment.drop_ins_in_vllm():
        return
    # Only now: it imports transformers.
    from qvl_fast.integrations.transformers import register

    register(default=True)
