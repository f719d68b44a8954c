//! Integer dataflow graph: builder, verifier, passes, reference interpreter, text dump, wire format.
