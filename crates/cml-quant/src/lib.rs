//! Float networks with quantizers, and their exact translation to integer graphs.
