//! Clusters of real nodes in namespaces on one machine.
