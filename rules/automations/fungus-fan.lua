-- Dries a bench on which fungus would grow: the fan blows and rests by turns, until the alert is over or it has blown often enough.
-- It listens to nothing itself: the rule FungusRisk of greenhouse.yaml calls its actions when it fires and when it resolves.
local fan = automation { name = "fungus-fan", description = "dries benches with too much humidity" }

-- The alerts whose fan is at work, by their ids.
local drying = {}

local function set(alert, value)
  mqtt.publish("greenhouses/" .. alert.labels.house .. "/" .. alert.labels.device .. "/fan/set", value, { qos = 1 })
end

-- `arguments` are those that stand in the rule.
fan:action("dry", function(alert, arguments)
  drying[alert.id] = true
  for _ = 1, arguments.times do
    set(alert, "on")
    sleep(arguments.blow)
    if not drying[alert.id] then return end
    set(alert, "off")
    sleep(arguments.rest)
    if not drying[alert.id] then return end
  end
end)

fan:action("stop", function(alert)
  drying[alert.id] = nil
  set(alert, "off")
end)
