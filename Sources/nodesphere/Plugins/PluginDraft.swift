import RuleEngine

/// The files of a new plugin.
struct PluginDraft {
    let files: [(name: String, text: String)]

    /// Nil for a name that a plugin cannot have.
    init?(_ kind: PluginManifest.Provision.Kind, _ name: String) {
        let isName = name.utf8.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == 45 }
        guard isName, let first = name.utf8.first, (97...122).contains(first), name.utf8.count <= 64 else { return nil }
        // As a function or action is written in rules.
        let identifier = String(name.map { $0 == "-" ? "_" : $0 })
        let (manifest, code, test) =
            switch kind {
            case .decoder: Self.decoder(name)
            case .function: Self.function(identifier)
            case .channel: Self.channel(name)
            case .action: Self.action(identifier)
            }
        files = [
            (
                "plugin.yaml",
                "name: \(name)\nversion: 0.1.0\ndescription: \"\(name), \(kind == .action ? "an" : "a") \(kind.rawValue)\"\n" + manifest
            ), ("init.lua", code),
            ("\(name).test.yaml", test),
        ]
    }

    private typealias Texts = (manifest: String, code: String, test: String)

    private static func decoder(_ name: String) -> Texts {
        (
            "provides:\n  decoders: [\(name)]\n",
            """
            -- '21.5;48' is a temperature and a humidity.
            local function decode(topic, bytes)
              local temperature, humidity = string.match(bytes, "^(-?[%d.]+);([%d.]+)$")
              if not temperature then error("the payload must be two numbers with ';' between them", 0) end
              return { temperature = tonumber(temperature), humidity = tonumber(humidity) }
            end

            plugin { decoders = { ["\(name)"] = decode } }

            """,
            """
            tests:
              - name: two numbers
                decoder: \(name)
                topic: sensors/a
                payload: "21.5;48"
                fields: {temperature: 21.5, humidity: 48}
              - name: something else
                decoder: \(name)
                topic: sensors/a
                payload: hello
                error: must be two numbers

            """
        )
    }

    private static func function(_ name: String) -> Texts {
        (
            """
            provides:
              functions:
                \(name):
                  parameters: {x: double}
                  result: double
                  doc: "twice x"
                  example: {expr: "\(name)(21.0)", value: 42}

            """,
            """
            plugin { functions = { \(name) = function(x) return 2 * x end } }

            """,
            """
            tests:
              - {name: zero, expr: "\(name)(0.0)", value: 0}

            """
        )
    }

    private static func channel(_ name: String) -> Texts {
        (
            """
            provides:
              channels: [\(name)]
            permissions:
              http: [api.example.org]
            configuration:
              token: {type: secret, required: true}
              title: {type: template, doc: "default: status, alert name and group labels"}

            """,
            """
            local function deliver(notification, config)
              return channel.outcome(http.post("https://api.example.org/messages", {
                headers = { ["Content-Type"] = "application/json", ["Authorization"] = "Bearer " .. config.token },
                body = json.encode({ title = config.title or text.title(notification), text = text.lines(notification, 20) }),
              }))
            end

            plugin { channels = { ["\(name)"] = deliver } }

            """,
            """
            notifications:
              firing:
                status: firing
                groupLabels: {alertname: TooWarm}
                alerts: [{status: firing, labels: {alertname: TooWarm}, annotations: {summary: It is too warm}}]
            tests:
              - name: a message
                channel: \(name)
                config: {token: t0}
                notification: firing
                http:
                  - request:
                      method: POST
                      url: https://api.example.org/messages
                      headers: {Authorization: Bearer t0}
                      json: {title: "[FIRING:1] TooWarm", text: "firing: It is too warm"}
                    answer: {status: 200}
                result: ok
              - name: a wrong token
                channel: \(name)
                config: {token: t0}
                notification: firing
                http:
                  - request: {method: POST, url: "https://api.example.org/messages"}
                    answer: {status: 401}
                result: {reject: "401"}

            """
        )
    }

    private static func action(_ name: String) -> Texts {
        (
            """
            provides:
              actions:
                \(name):
                  arguments:
                    lamp: {type: string, required: true}
            permissions:
              mqtt.publish: ["lamps/+/set"]

            """,
            """
            local function run(alert, arguments)
              local state = alert.state == "firing" and "ON" or "OFF"
              local sent, problem = mqtt.publish("lamps/" .. arguments.lamp .. "/set", state, { qos = 1 })
              if not sent then return "retry", problem end
            end

            plugin { actions = { \(name) = run } }

            """,
            """
            tests:
              - name: the lamp is switched on
                action: \(name)
                alert: {state: firing, labels: {alertname: TooWarm}}
                arguments: {lamp: hall}
                publish: [{topic: lamps/hall/set, payload: "ON"}]
                result: ok

            """
        )
    }
}
