"""One voice on stderr: the libraries' bars and notes are turned off, what matters of them is said by the run itself."""

import logging
import os
import warnings


def quiet() -> None:
    """Leave errors of the training libraries on, and nothing else; call it before they are imported."""
    os.environ.setdefault("TQDM_DISABLE", "1")  # tqdm reads it once; transformers draws some bars of its own with it
    import datasets
    import transformers

    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    for name in ("accelerate", "peft", "trl"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for library in ("accelerate", "peft", "torch", "transformers", "trl"):
        warnings.filterwarnings("ignore", module=rf"{library}(\..*)?")
