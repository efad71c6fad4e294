// Package servers gives tests the real servers that they need, and falls back to an
// embedded one where there is none. It is test support: only tests import it.
//
// Redis is, in this order, what RELOGIN_TEST_REDIS_URL names (the tests keep to
// namespaces of their own there), a container of the image RELOGIN_TEST_REDIS_IMAGE
// (redis:7-alpine unless set), a redis-server on the PATH, or miniredis. A test that
// needs more than the last one offers skips and says why; with CI=true it fails.
package servers
