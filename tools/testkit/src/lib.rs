//! What tests share: real images, whole engines, namespaces of their own.
