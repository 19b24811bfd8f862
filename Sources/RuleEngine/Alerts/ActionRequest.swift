/// Something that a rule's `actions` do at a transition; carried out after the transition is stored.
public enum ActionRequest: Sendable, Equatable, Identifiable {
    case publish(PublishRequest)
    case call(CallRequest)

    public var id: String {
        switch self {
        case .publish(let request): request.id
        case .call(let request): request.id
        }
    }
}

/// A message; sent again after a crash that fell between sending it and recording that, with the same id.
public struct PublishRequest: Sendable, Equatable {
    public var id: String
    public var topic: String
    public var payload: String
    public var qos: UInt8
    public var retain: Bool
    public init(id: String, topic: String, payload: String, qos: UInt8, retain: Bool) {
        self.id = id
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.retain = retain
    }
}

/// A function of an automation or a plugin; never called again once it has begun, also not after a crash.
public struct CallRequest: Sendable, Equatable {
    public var id: String
    public var function: ActionFunction
    /// An object.
    public var arguments: Document
    /// Recorded before the call.
    public var hasBegun = false
    public init(id: String, function: ActionFunction, arguments: Document) {
        self.id = id
        self.function = function
        self.arguments = arguments
    }
}

// MARK: The stored form

extension ActionRequest {
    var document: Document {
        switch self {
        case .publish(let request): request.document
        case .call(let request): request.document
        }
    }

    init?(_ document: Document) {
        if let request = CallRequest(document) {
            self = .call(request)
        } else if let request = PublishRequest(document) {
            self = .publish(request)
        } else {
            return nil
        }
    }
}

extension PublishRequest {
    fileprivate var document: Document {
        ["id": .string(id), "topic": .string(topic), "payload": .string(payload), "qos": .int(Int64(qos)), "retain": .bool(retain)]
    }

    fileprivate init?(_ document: Document) {
        guard let id = document["id"]?.string, let topic = document["topic"]?.string, let payload = document["payload"]?.string,
            let qos = document["qos"]?.int.flatMap(UInt8.init(exactly:)), let retain = document["retain"]?.bool
        else { return nil }
        self.init(id: id, topic: topic, payload: payload, qos: qos, retain: retain)
    }
}

extension CallRequest {
    fileprivate var document: Document {
        var members: [Document.Member] = [.init("id", .string(id))]
        switch function {
        case .script(let automation, let function): members += [.init("script", .string(automation)), .init("function", .string(function))]
        case .plugin(let name): members.append(.init("plugin", .string(name)))
        }
        members.append(.init("arguments", arguments))
        if hasBegun { members.append(.init("begun", true)) }
        return .object(members)
    }

    fileprivate init?(_ document: Document) {
        guard let id = document["id"]?.string, let arguments = document["arguments"] else { return nil }
        if let plugin = document["plugin"]?.string {
            self.init(id: id, function: .plugin(plugin), arguments: arguments)
        } else if let automation = document["script"]?.string, let function = document["function"]?.string {
            self.init(id: id, function: .script(automation: automation, function: function), arguments: arguments)
        } else {
            return nil
        }
        hasBegun = document["begun"]?.bool ?? false
    }
}
