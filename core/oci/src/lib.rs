//! Published OCI formats as types.
