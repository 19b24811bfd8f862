internal import RuleEngine

extension AutomationRuntime {
    func defineDevices(_ automation: Automation) {
        automation.lua.defineConfiguration { [unowned self] call in
            .value(call[0].text.flatMap { world.device($0) }.map { LuaValue($0.config) } ?? .none)
        }
        define(automation, "device.config") { runtime, _, call in
            guard let id = call[0].text else { return .raise("wants a device's id") }
            return .value(runtime.world.device(id).map { LuaValue($0.config) } ?? .none)
        }
        define(automation, "device.set_config") { runtime, automation, call in
            guard let id = call[0].text else { return .raise("wants a device's id first") }
            guard let members = call[1].members else { return .raise("wants a table: the members to change, json.null to remove one") }
            return runtime.ask(.setConfig(device: id, patch: LuaValue.object(members).document), automation, call)
        }
        define(automation, "device.find") { runtime, _, call in
            let wanted = call[0]["labels"]?.members ?? []
            let found = runtime.world.devices().filter { device in
                wanted.allSatisfy { label in label.value.plainText.map { $0 == device.labels[label.name] } ?? false }
            }
            return .value(
                .array(
                    found.map { device in
                        .object([
                            .init("id", .string(device.id)), .init("config", LuaValue(device.config)),
                            .init("labels", LuaValue(Document(device.labels))),
                        ])
                    }))
        }
    }
}
