// Package deploy tests the files that operators copy: it starts each server with them,
// and runs the built relogin as the users that they name, over TLS.
package deploy
