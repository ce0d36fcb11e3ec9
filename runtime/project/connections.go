package project

// Connections are the systems that a project runs with. What is absent is
// embedded: a broker in the process, a catalog in SQLite and a local folder.
type Connections struct {
	Kafka     Kafka
	Catalog   Catalog
	Warehouse Warehouse
}

var connectionsShape = object[Connections]{
	name: "connections",
	doc:  "The systems that the project runs with; what is absent is embedded.",
	fields: []field[Connections]{
		key("kafka", shape[Kafka](kafkaShape), func(c *Connections) *Kafka { return &c.Kafka }, "Where events come from; an embedded broker by default."),
		key("catalog", shape[Catalog](catalogShape), func(c *Connections) *Catalog { return &c.Catalog }, "The Iceberg catalog; an embedded one by default."),
		key("warehouse", warehouseShape, func(c *Connections) *Warehouse { return &c.Warehouse }, "Where tables are stored: s3://bucket/prefix or a folder, relative to the project's; .calve/warehouse by default."),
	},
	start: func(c *Connections) { *c = embeddedConnections() },
}

func embeddedConnections() Connections {
	return Connections{
		Kafka:     Kafka{Embedded: &EmbeddedBroker{Dir: defaultBrokerDir, Listen: defaultBrokerListen}, Timeout: defaultTimeout, ClientID: defaultClientID},
		Catalog:   Catalog{Type: CatalogEmbedded, Path: defaultCatalogPath, Listen: defaultCatalogListen, Timeout: defaultTimeout},
		Warehouse: Warehouse{Location: defaultWarehouse},
	}
}
