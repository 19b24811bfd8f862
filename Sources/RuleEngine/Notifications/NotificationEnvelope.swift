/// A notification on the way to its channel: a CloudEvents 1.0 event in JSON whose data is the Alertmanager document.
public struct NotificationEnvelope: Sendable, Equatable {
    public static let type = "io.nodesphere.notification"

    public var id: String
    public var source: String
    public var time: Instant
    public var data: Document

    public init(id: String, source: String, time: Instant, data: Document) {
        self.id = id
        self.source = source
        self.time = time
        self.data = data
    }

    public var json: String {
        let event: Document = [
            "specversion": "1.0", "id": .string(id), "source": .string(source), "type": .string(Self.type), "time": .instant(time),
            "datacontenttype": "application/json", "data": data,
        ]
        return event.json
    }

    /// Reads what `json` wrote; nil for anything else.
    public init?(json bytes: [UInt8]) {
        guard let event = try? Document(json: bytes), event["specversion"]?.string == "1.0", event["type"]?.string == Self.type,
            let id = event["id"]?.string, let source = event["source"]?.string, let time = event["time"]?.instant,
            let data = event["data"], data["receiver"]?.string != nil
        else { return nil }
        self.init(id: id, source: source, time: time, data: data)
    }

    public var notification: Notification {
        Notification(id: id, receiver: data["receiver"]?.string ?? "", document: data)
    }
}
