//! The bot and what it is made of.
