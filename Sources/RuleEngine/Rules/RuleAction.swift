/// One entry of a rule's `actions`.
public enum RuleAction: Sendable {
    case publish(PublishAction)
    case call(CallAction)
}

/// `publish` of a rule's `actions`.
public struct PublishAction: Sendable {
    public var topic: Template
    public var payload: Template
    public var qos: UInt8
    public var retain: Bool
    public init(topic: Template, payload: Template, qos: UInt8 = 0, retain: Bool = false) {
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.retain = retain
    }
}

/// `script` or `plugin` of a rule's `actions`: a function that an automation or a plugin offers.
public struct CallAction: Sendable {
    public var function: ActionFunction
    /// Where its name stands.
    public var location: SourceLocation
    public var arguments: [NamedArgument]
    public init(_ function: ActionFunction, at location: SourceLocation, arguments: [NamedArgument] = []) {
        self.function = function
        self.location = location
        self.arguments = arguments
    }
}

/// What an action calls.
public enum ActionFunction: Hashable, Sendable, CustomStringConvertible {
    /// `automation:action("function", …)`
    case script(automation: String, function: String)
    /// `plugin.action`
    case plugin(String)

    public var description: String {
        switch self {
        case .script(let automation, let function): "\(automation).\(function)"
        case .plugin(let name): name
        }
    }
}

public struct NamedArgument: Sendable {
    public var name: String
    public var value: ArgumentTemplate
    public init(_ name: String, _ value: ArgumentTemplate) {
        self.name = name
        self.value = value
    }
}

/// A value that is filled in at the transition.
public indirect enum ArgumentTemplate: Sendable {
    case constant(Document)
    /// One `{{ CEL }}` and nothing else is the expression's value, of its own type; null where it has none.
    case value(RuleExpression)
    case text(Template)
    case list([ArgumentTemplate])
    case object([NamedArgument])
}
