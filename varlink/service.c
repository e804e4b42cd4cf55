/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The interface org.varlink.service, which each Varlink service has. */
#include "varlink/manager-tables.h"
#include "varlink/manager.h"

static const struct vl_field nothing[] = { END };

static const struct vl_field info_out[] = {
	FIELD("vendor", VL_STRING, "Who made the service."),
	FIELD("product", VL_STRING, "What it is."),
	FIELD("version", VL_STRING, "Version of the program."),
	FIELD("url", VL_STRING, "Where to read about it."),
	LIST("interfaces", VL_STRING, "The interfaces it serves, this one among them."),
	END,
};

static const struct vl_field description_in[] = {
	FIELD("interface", VL_STRING, "Full name of an interface that GetInfo lists."),
	END,
};

static const struct vl_field description_out[] = {
	FIELD("description", VL_STRING, "The interface in Varlink's interface definition language, with comments."),
	END,
};

static const struct vl_method service_methods[] = {
	{
		.name = "GetInfo",
		.doc = "Says what the service is and which interfaces it has.",
		.in = nothing,
		.out = info_out,
	},
	{
		.name = "GetInterfaceDescription",
		.doc = "Gives the description of one interface.",
		.in = description_in,
		.out = description_out,
	},
	END,
};

static const struct vl_field interface_field[] = {
	FIELD("interface", VL_STRING, "The name that was asked for."),
	END,
};

static const struct vl_field method_field[] = {
	FIELD("method", VL_STRING, "The full name that was asked for."),
	END,
};

static const struct vl_field parameter_field[] = {
	FIELD("parameter", VL_STRING, "Name of the parameter, or of the member of one, that is unknown, missing or of "
				      "the wrong type."),
	END,
};

static const struct vl_error service_errors[] = {
	{ "InterfaceNotFound", "The service has no such interface.", interface_field },
	{ "MethodNotFound", "The interface has no such method.", method_field },
	{ "MethodNotImplemented", "The interface has that method, but this service does not.", method_field },
	{ "InvalidParameter", "A parameter is unknown, missing or of the wrong type.", parameter_field },
	{ "PermissionDenied", "The caller may not call this method.", nothing },
	{ "ExpectedMore", "The method makes sense only with the 'more' flag.", nothing },
	END,
};

static const struct vl_struct *const service_types[] = { NULL };

const struct vl_interface vl_service = {
	.name = VL_SERVICE,
	.doc = "What every Varlink service has: it says what it is and describes its interfaces.",
	.types = service_types,
	.methods = service_methods,
	.errors = service_errors,
};
