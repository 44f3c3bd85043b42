// Package resp encodes replies: bytes in the Redis serialization protocol,
// version 2 or 3, as the connection has chosen with HELLO.
//
// It knows no commands and no sockets. Handlers write into a [Buffer]; an
// [Error] is a reply that a handler returns instead of writing it. The bytes
// themselves come from redcon's Append functions; what redcon lacks (RESP3,
// lengths that are known only afterwards, frames shared by many receivers)
// is here.
package resp
