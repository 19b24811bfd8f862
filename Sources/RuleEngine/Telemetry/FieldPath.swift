/// Where a field stands in a payload, or what of the message itself it is.
struct FieldPath: Hashable, Sendable, CustomStringConvertible {
    enum Origin: Hashable, Sendable {
        /// A place in the decoded payload; no elements: the whole.
        case payload
        case topic, eventTime, receivedAt
        /// A capture that does not identify the instance.
        case capture(String)
    }
    enum Element: Hashable, Sendable {
        case name(String)
        case index(Int)
    }
    var origin: Origin
    var elements: [Element] = []

    static func member(_ name: String) -> FieldPath { FieldPath(origin: .payload, elements: [.name(name)]) }

    /// As an expression writes it.
    var description: String {
        switch origin {
        case .topic: return "topic"
        case .eventTime: return "time"
        case .receivedAt: return "received_at"
        case .capture(let name): return name
        case .payload: break
        }
        guard !elements.isEmpty else { return "payload" }
        var text = ""
        for element in elements {
            switch element {
            case .name(let name): text += (text.isEmpty ? "" : ".") + (TopicFilter.isName(name) ? name : "`\(name)`")
            case .index(let index): text += "[\(index)]"
            }
        }
        return text
    }
}
