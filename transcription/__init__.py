"""The way to Whisper, and Whisper itself where no server is named."""

import os

# From 1.29 on, onnxruntime (the voice activity network) tells Microsoft of its use unless this is set before it starts.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
