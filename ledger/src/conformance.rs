//! The encodings and ids that other programs rely on. Changing one is a new protocol version: a reviewed act.
