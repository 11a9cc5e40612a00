//! The messages of a metrics request: names, numbers and types of their fields.

/// A message.
#[derive(Debug)]
pub(crate) struct Message {
    /// At most 64, so that a bit set says which were seen.
    pub fields: &'static [Field],
}

/// A field of a message.
#[derive(Debug)]
pub(crate) struct Field {
    /// In lowerCamelCase.
    pub name: &'static str,
    /// As the protobuf definition writes it.
    pub original: &'static str,
    pub number: u32,
    pub repeated: bool,
    /// Whether it is one of alternatives; no message here has more than one set of them.
    pub one_of: bool,
    pub kind: Kind,
}

/// The type of a field.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Message(&'static Message),
    Text,
    /// Base64 in JSON.
    Bytes,
    /// Hexadecimal in JSON.
    Id,
    Bool,
    Double,
    Fixed64,
    Sfixed64,
    Uint64,
    Uint32,
    Int64,
    Int32,
    Sint32,
    /// Names in the order of their numbers.
    Enum(&'static [&'static str]),
}

const fn field(name: &'static str, original: &'static str, number: u32, kind: Kind) -> Field {
    Field { name, original, number, repeated: false, one_of: false, kind }
}

const fn many(name: &'static str, original: &'static str, number: u32, kind: Kind) -> Field {
    Field { name, original, number, repeated: true, one_of: false, kind }
}

const fn either(name: &'static str, original: &'static str, number: u32, kind: Kind) -> Field {
    Field { name, original, number, repeated: false, one_of: true, kind }
}

/// `ExportMetricsServiceRequest`.
pub(crate) static REQUEST: Message =
    Message { fields: &[many("resourceMetrics", "resource_metrics", 1, Kind::Message(&RESOURCE_METRICS))] };

static RESOURCE_METRICS: Message = Message {
    fields: &[
        field("resource", "resource", 1, Kind::Message(&RESOURCE)),
        many("scopeMetrics", "scope_metrics", 2, Kind::Message(&SCOPE_METRICS)),
        field("schemaUrl", "schema_url", 3, Kind::Text),
    ],
};

static RESOURCE: Message = Message {
    fields: &[
        many("attributes", "attributes", 1, Kind::Message(&KEY_VALUE)),
        field("droppedAttributesCount", "dropped_attributes_count", 2, Kind::Uint32),
        many("entityRefs", "entity_refs", 3, Kind::Message(&ENTITY_REF)),
    ],
};

static ENTITY_REF: Message = Message {
    fields: &[
        field("schemaUrl", "schema_url", 1, Kind::Text),
        field("type", "type", 2, Kind::Text),
        many("idKeys", "id_keys", 3, Kind::Text),
        many("descriptionKeys", "description_keys", 4, Kind::Text),
    ],
};

static SCOPE_METRICS: Message = Message {
    fields: &[
        field("scope", "scope", 1, Kind::Message(&SCOPE)),
        many("metrics", "metrics", 2, Kind::Message(&METRIC)),
        field("schemaUrl", "schema_url", 3, Kind::Text),
    ],
};

static SCOPE: Message = Message {
    fields: &[
        field("name", "name", 1, Kind::Text),
        field("version", "version", 2, Kind::Text),
        many("attributes", "attributes", 3, Kind::Message(&KEY_VALUE)),
        field("droppedAttributesCount", "dropped_attributes_count", 4, Kind::Uint32),
    ],
};

static METRIC: Message = Message {
    fields: &[
        field("name", "name", 1, Kind::Text),
        field("description", "description", 2, Kind::Text),
        field("unit", "unit", 3, Kind::Text),
        either("gauge", "gauge", 5, Kind::Message(&GAUGE)),
        either("sum", "sum", 7, Kind::Message(&SUM)),
        either("histogram", "histogram", 9, Kind::Message(&HISTOGRAM)),
        either("exponentialHistogram", "exponential_histogram", 10, Kind::Message(&EXPONENTIAL_HISTOGRAM)),
        either("summary", "summary", 11, Kind::Message(&SUMMARY)),
        many("metadata", "metadata", 12, Kind::Message(&KEY_VALUE)),
    ],
};

const TEMPORALITY: Kind = Kind::Enum(&[
    "AGGREGATION_TEMPORALITY_UNSPECIFIED",
    "AGGREGATION_TEMPORALITY_DELTA",
    "AGGREGATION_TEMPORALITY_CUMULATIVE",
]);

static GAUGE: Message = Message { fields: &[many("dataPoints", "data_points", 1, Kind::Message(&NUMBER_POINT))] };

static SUM: Message = Message {
    fields: &[
        many("dataPoints", "data_points", 1, Kind::Message(&NUMBER_POINT)),
        field("aggregationTemporality", "aggregation_temporality", 2, TEMPORALITY),
        field("isMonotonic", "is_monotonic", 3, Kind::Bool),
    ],
};

static HISTOGRAM: Message = Message {
    fields: &[
        many("dataPoints", "data_points", 1, Kind::Message(&HISTOGRAM_POINT)),
        field("aggregationTemporality", "aggregation_temporality", 2, TEMPORALITY),
    ],
};

static EXPONENTIAL_HISTOGRAM: Message = Message {
    fields: &[
        many("dataPoints", "data_points", 1, Kind::Message(&EXPONENTIAL_POINT)),
        field("aggregationTemporality", "aggregation_temporality", 2, TEMPORALITY),
    ],
};

static SUMMARY: Message = Message { fields: &[many("dataPoints", "data_points", 1, Kind::Message(&SUMMARY_POINT))] };

static NUMBER_POINT: Message = Message {
    fields: &[
        many("attributes", "attributes", 7, Kind::Message(&KEY_VALUE)),
        field("startTimeUnixNano", "start_time_unix_nano", 2, Kind::Fixed64),
        field("timeUnixNano", "time_unix_nano", 3, Kind::Fixed64),
        either("asDouble", "as_double", 4, Kind::Double),
        either("asInt", "as_int", 6, Kind::Sfixed64),
        many("exemplars", "exemplars", 5, Kind::Message(&EXEMPLAR)),
        field("flags", "flags", 8, Kind::Uint32),
    ],
};

static HISTOGRAM_POINT: Message = Message {
    fields: &[
        many("attributes", "attributes", 9, Kind::Message(&KEY_VALUE)),
        field("startTimeUnixNano", "start_time_unix_nano", 2, Kind::Fixed64),
        field("timeUnixNano", "time_unix_nano", 3, Kind::Fixed64),
        field("count", "count", 4, Kind::Fixed64),
        field("sum", "sum", 5, Kind::Double),
        many("bucketCounts", "bucket_counts", 6, Kind::Fixed64),
        many("explicitBounds", "explicit_bounds", 7, Kind::Double),
        many("exemplars", "exemplars", 8, Kind::Message(&EXEMPLAR)),
        field("flags", "flags", 10, Kind::Uint32),
        field("min", "min", 11, Kind::Double),
        field("max", "max", 12, Kind::Double),
    ],
};

static EXPONENTIAL_POINT: Message = Message {
    fields: &[
        many("attributes", "attributes", 1, Kind::Message(&KEY_VALUE)),
        field("startTimeUnixNano", "start_time_unix_nano", 2, Kind::Fixed64),
        field("timeUnixNano", "time_unix_nano", 3, Kind::Fixed64),
        field("count", "count", 4, Kind::Fixed64),
        field("sum", "sum", 5, Kind::Double),
        field("scale", "scale", 6, Kind::Sint32),
        field("zeroCount", "zero_count", 7, Kind::Fixed64),
        field("positive", "positive", 8, Kind::Message(&BUCKETS)),
        field("negative", "negative", 9, Kind::Message(&BUCKETS)),
        field("flags", "flags", 10, Kind::Uint32),
        many("exemplars", "exemplars", 11, Kind::Message(&EXEMPLAR)),
        field("min", "min", 12, Kind::Double),
        field("max", "max", 13, Kind::Double),
        field("zeroThreshold", "zero_threshold", 14, Kind::Double),
    ],
};

static BUCKETS: Message = Message {
    fields: &[field("offset", "offset", 1, Kind::Sint32), many("bucketCounts", "bucket_counts", 2, Kind::Uint64)],
};

static SUMMARY_POINT: Message = Message {
    fields: &[
        many("attributes", "attributes", 7, Kind::Message(&KEY_VALUE)),
        field("startTimeUnixNano", "start_time_unix_nano", 2, Kind::Fixed64),
        field("timeUnixNano", "time_unix_nano", 3, Kind::Fixed64),
        field("count", "count", 4, Kind::Fixed64),
        field("sum", "sum", 5, Kind::Double),
        many("quantileValues", "quantile_values", 6, Kind::Message(&QUANTILE)),
        field("flags", "flags", 8, Kind::Uint32),
    ],
};

static QUANTILE: Message =
    Message { fields: &[field("quantile", "quantile", 1, Kind::Double), field("value", "value", 2, Kind::Double)] };

static EXEMPLAR: Message = Message {
    fields: &[
        many("filteredAttributes", "filtered_attributes", 7, Kind::Message(&KEY_VALUE)),
        field("timeUnixNano", "time_unix_nano", 2, Kind::Fixed64),
        either("asDouble", "as_double", 3, Kind::Double),
        either("asInt", "as_int", 6, Kind::Sfixed64),
        field("spanId", "span_id", 4, Kind::Id),
        field("traceId", "trace_id", 5, Kind::Id),
    ],
};

static KEY_VALUE: Message = Message {
    fields: &[
        field("key", "key", 1, Kind::Text),
        field("value", "value", 2, Kind::Message(&ANY_VALUE)),
        field("keyStrindex", "key_strindex", 3, Kind::Int32),
    ],
};

static ANY_VALUE: Message = Message {
    fields: &[
        either("stringValue", "string_value", 1, Kind::Text),
        either("boolValue", "bool_value", 2, Kind::Bool),
        either("intValue", "int_value", 3, Kind::Int64),
        either("doubleValue", "double_value", 4, Kind::Double),
        either("arrayValue", "array_value", 5, Kind::Message(&ARRAY)),
        either("kvlistValue", "kvlist_value", 6, Kind::Message(&KEY_VALUE_LIST)),
        either("bytesValue", "bytes_value", 7, Kind::Bytes),
        either("stringValueStrindex", "string_value_strindex", 8, Kind::Int32),
    ],
};

static ARRAY: Message = Message { fields: &[many("values", "values", 1, Kind::Message(&ANY_VALUE))] };

static KEY_VALUE_LIST: Message = Message { fields: &[many("values", "values", 1, Kind::Message(&KEY_VALUE))] };

#[cfg(test)]
mod tests {
    use super::*;

    /// The messages that can be reached from one, each once.
    fn reachable(from: &'static Message) -> Vec<&'static Message> {
        let mut found = vec![from];
        let mut next = 0;
        while let Some(message) = found.get(next).copied() {
            for field in message.fields {
                if let Kind::Message(inner) = field.kind
                    && !found.iter().any(|known| std::ptr::eq(*known, inner))
                {
                    found.push(inner);
                }
            }
            next += 1;
        }
        found
    }

    #[test]
    fn the_camel_case_of_every_name_is_that_of_the_original() {
        for field in reachable(&REQUEST).iter().flat_map(|message| message.fields) {
            let mut camel = String::new();
            for part in field.original.split('_') {
                let mut letters = part.chars();
                match letters.next() {
                    Some(first) if !camel.is_empty() => camel.extend(first.to_uppercase()),
                    Some(first) => camel.push(first),
                    None => {}
                }
                camel.extend(letters);
            }
            assert_eq!(field.name, camel);
        }
    }

    #[test]
    fn names_and_numbers_are_unique_in_each_message() {
        let messages = reachable(&REQUEST);
        assert_eq!(messages.len(), 23);
        for message in messages {
            assert!(message.fields.len() <= 64);
            for (i, a) in message.fields.iter().enumerate() {
                let same = |b: &Field| a.number == b.number || a.name == b.name || a.original == b.original;
                assert!(!message.fields[i + 1..].iter().any(same), "{}", a.name);
            }
        }
    }
}
