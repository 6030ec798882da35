//! Oracles over the observation schema, for the simulator and for real nodes.
