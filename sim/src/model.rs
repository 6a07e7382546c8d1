//! What a network is like: how long messages take, who is connected to whom, who comes and goes.
