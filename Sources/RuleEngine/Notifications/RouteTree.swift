/// What is wrong in a route, and in which: indices of `routes` from the root down.
public struct RouteMistake: Error, Sendable, Equatable, CustomStringConvertible {
    public enum Problem: Sendable, Equatable {
        case rootWithoutReceiver
        case rootWithMatchers
        case unknownReceiver(String)
        case duplicateReceiver(String)
        case pattern(Matcher)
        /// `group_interval` or `repeat_interval`.
        case intervalNotPositive(String)
    }
    public var path: [Int]
    public var problem: Problem

    public init(path: [Int], problem: Problem) {
        self.path = path
        self.problem = problem
    }

    public var description: String {
        switch problem {
        case .rootWithoutReceiver: "the root route must have a receiver"
        case .rootWithMatchers: "the root route must not have matchers"
        case .unknownReceiver(let name): "a route's receiver must be one of 'receivers': '\(name)'"
        case .duplicateReceiver(let name): "receivers' names must be unique: '\(name)'"
        case .pattern(let matcher): "'\(matcher.value)' must be a regular expression"
        case .intervalNotPositive(let name): "'\(name)' must be longer than 0"
        }
    }
}

/// The route tree with inheritance applied and patterns compiled.
public struct RouteTree: Sendable {
    public let nodes: [RouteNode]
    public let receivers: [String: Receiver]
    /// Compiles patterns of matchers, also those of silences.
    let compile: RegexCompiler
    private let indices: [String: Int]

    /// Everything that is wrong, root first; empty when a tree can be made.
    public static func mistakes(in configuration: NotificationConfiguration, compile: @escaping RegexCompiler) -> [RouteMistake] {
        var builder = Builder(configuration: configuration, compile: compile)
        builder.build()
        return builder.mistakes
    }

    public init(_ configuration: NotificationConfiguration, compile: @escaping RegexCompiler) throws(RouteMistake) {
        var builder = Builder(configuration: configuration, compile: compile)
        builder.build()
        if let mistake = builder.mistakes.first { throw mistake }
        nodes = builder.nodes
        receivers = builder.receivers
        self.compile = compile
        indices = Dictionary(uniqueKeysWithValues: nodes.indices.map { (builder.nodes[$0].key, $0) })
    }

    /// The routes that take an alert with these labels, in the order of the tree; never empty.
    public func routes(for labels: [String: String]) -> [RouteNode] {
        var found: [RouteNode] = []
        collect(0, labels, into: &found)
        return found
    }

    func node(key: String) -> RouteNode? { indices[key].map { nodes[$0] } }

    @discardableResult
    private func collect(_ index: Int, _ labels: [String: String], into found: inout [RouteNode]) -> Bool {
        let node = nodes[index]
        guard node.matchers.allSatisfy({ $0.matches(labels) }) else { return false }
        let before = found.count
        for child in node.children where collect(child, labels, into: &found) && !nodes[child].continues { break }
        if found.count == before { found.append(node) }
        return true
    }
}

/// A route with everything it inherits.
public struct RouteNode: Sendable {
    /// Unique: the matchers from the root down as Alertmanager writes them, `{}/{severity="critical"}`.
    public let key: String
    public let receiver: String
    public let groupBy: GroupBy
    public let groupWait: Duration
    public let groupInterval: Duration
    public let repeatInterval: Duration
    let matchers: [CompiledMatcher]
    let continues: Bool
    fileprivate(set) var children: [Int] = []

    /// The labels that an alert's group has. A label that the alert lacks is left out.
    func groupLabels(of alert: AlertRecord) -> [String: String] {
        let labels = alert.notificationLabels
        switch groupBy {
        case .all: return alert.identityLabels
        case .labels(let names):
            var group: [String: String] = [:]
            for name in names { group[name] = labels[name] }
            return group
        }
    }
}

struct CompiledMatcher: Sendable {
    let name: String
    let isNegated: Bool
    let test: Test
    enum Test: Sendable {
        case equal(String)
        case regex(any RegexMatching)
    }

    /// Nil when the pattern is none.
    init?(_ matcher: Matcher, _ compile: RegexCompiler) {
        name = matcher.name
        isNegated = matcher.operation == .notEqual || matcher.operation == .doesNotMatch
        if matcher.operation.isRegularExpression {
            guard let regex = compile(matcher.value) else { return nil }
            test = .regex(regex)
        } else {
            test = .equal(matcher.value)
        }
    }

    func matches(_ labels: [String: String]) -> Bool {
        let value = labels[name] ?? ""
        let holds =
            switch test {
            case .equal(let wanted): wanted.utf8.elementsEqual(value.utf8)
            case .regex(let regex): regex.matchesWhole(value)
            }
        return holds != isNegated
    }
}

/// Walks the configured tree, parents before children.
private struct Builder {
    let configuration: NotificationConfiguration
    let compile: RegexCompiler
    var nodes: [RouteNode] = []
    var receivers: [String: Receiver] = [:]
    var mistakes: [RouteMistake] = []
    var keys = Set<String>()

    mutating func build() {
        for receiver in configuration.receivers where receivers.updateValue(receiver, forKey: receiver.name) != nil {
            mistakes.append(RouteMistake(path: [], problem: .duplicateReceiver(receiver.name)))
        }
        if !configuration.route.matchers.isEmpty { mistakes.append(RouteMistake(path: [], problem: .rootWithMatchers)) }
        if configuration.route.receiver == nil { mistakes.append(RouteMistake(path: [], problem: .rootWithoutReceiver)) }
        add(configuration.route, path: [], parent: nil)
    }

    @discardableResult
    mutating func add(_ route: Route, path: [Int], parent: RouteNode?) -> Int {
        func mistake(_ problem: RouteMistake.Problem) { mistakes.append(RouteMistake(path: path, problem: problem)) }
        if let name = route.receiver, receivers[name] == nil { mistake(.unknownReceiver(name)) }
        if let interval = route.groupInterval, interval <= .zero { mistake(.intervalNotPositive("group_interval")) }
        if let interval = route.repeatInterval, interval <= .zero { mistake(.intervalNotPositive("repeat_interval")) }
        var matchers: [CompiledMatcher] = []
        for matcher in route.matchers {
            if let compiled = CompiledMatcher(matcher, compile) { matchers.append(compiled) } else { mistake(.pattern(matcher)) }
        }
        let node = RouteNode(
            key: uniqueKey(route, parent: parent), receiver: route.receiver ?? parent?.receiver ?? "",
            groupBy: route.groupBy ?? parent?.groupBy ?? .labels([]),
            groupWait: max(.zero, route.groupWait ?? parent?.groupWait ?? .defaultGroupWait),
            groupInterval: route.groupInterval ?? parent?.groupInterval ?? .defaultGroupInterval,
            repeatInterval: route.repeatInterval ?? parent?.repeatInterval ?? .defaultRepeatInterval,
            matchers: matchers, continues: route.continues)
        let index = nodes.count
        nodes.append(node)
        for (place, child) in route.routes.enumerated() {
            nodes[index].children.append(add(child, path: path + [place], parent: node))
        }
        return index
    }

    /// Siblings with the same matchers are told apart by a number, so that their groups stay apart.
    mutating func uniqueKey(_ route: Route, parent: RouteNode?) -> String {
        let own = "{" + route.matchers.map(\.description).joined(separator: ",") + "}"
        let key = parent.map { $0.key + "/" + own } ?? own
        var unique = key
        var number = 2
        while !keys.insert(unique).inserted {
            unique = "\(key)#\(number)"
            number += 1
        }
        return unique
    }
}
