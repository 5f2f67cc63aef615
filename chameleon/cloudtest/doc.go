// Package cloudtest is a small OpenStack for tests: a reservation service that
// follows the recorded answers of a real Blazar, and as much of Keystone, Nova,
// Glance and Neutron as a lease needs. It listens on loopback only.
package cloudtest
