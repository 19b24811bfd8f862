import RuleEngine

/// The parameters of a request's query, in their order, decoded.
struct Query: Sendable, Equatable {
    struct Parameter: Sendable, Equatable {
        var name: String
        var value: String
    }

    private(set) var parameters: [Parameter] = []

    init() {}

    /// Reads the part behind `?` as forms write it: `name=value` with `&` between, `+` a space.
    init(_ text: String) throws(Problem) {
        for pair in text.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = PercentCoding.decode(parts.first ?? "", plusIsSpace: true),
                let value = PercentCoding.decode(parts.dropFirst().first ?? "", plusIsSpace: true)
            else { throw .invalid("the query's '\(pair.prefix(100))' is not percent-encoded UTF-8") }
            parameters.append(Parameter(name: name, value: value))
        }
    }

    func values(of name: String) -> [String] { parameters.filter { $0.name == name }.map(\.value) }

    /// The value of a parameter that stands at most once; nil when it is absent or empty.
    func value(of name: String) throws(Problem) -> String? {
        let values = values(of: name)
        guard values.count <= 1 else { throw .invalid("'\(name)' stands \(values.count) times in the query") }
        return values.first.flatMap { $0.isEmpty ? nil : $0 }
    }

    func flag(_ name: String) throws(Problem) -> Bool {
        switch try value(of: name) {
        case "true": return true
        case "false", nil: return false
        case .some(let other): throw .invalid("'\(name)' must be true or false, not '\(other.prefix(100))'")
        }
    }

    /// A misspelt parameter would silently ask for something else.
    func refuseAll(but known: [String]) throws(Problem) {
        for parameter in parameters where !known.contains(parameter.name) {
            let suggestion = nearestName(to: parameter.name, in: known).map { "; did you mean '\($0)'?" } ?? ""
            throw .invalid("there is no query parameter '\(parameter.name.prefix(100))' here\(suggestion)")
        }
    }
}
