// Package e2e tests the whole of Herald: the program that `make build` makes,
// run as a process of its own, against a real PostgreSQL, an SMTP server and a
// browser.
package e2e
