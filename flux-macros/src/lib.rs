//! The attributes of flux.
