-- The one player: an eye without hand, health, clouds or stars around it, at noon. Two strips of
-- the screen, above and below the picture, show the heading that was really drawn.
local SKY = "#8fc1f5"
local STRIP = tonumber(core.settings:get("worldsim_strip"))
local WIDTH = tonumber(core.settings:get("screen_w"))
local OFF = {
	hotbar = false, healthbar = false, crosshair = false, wielditem = false, breathbar = false,
	minimap = false, minimap_radar = false, basic_debug = false, chat = false,
}

local function add_compass(player, y)
	player:hud_add({
		hud_elem_type = "compass",
		position = {x = 0, y = y},
		alignment = {x = 1, y = 1 - 2 * y},
		offset = {x = 0, y = 0},
		size = {x = WIDTH, y = STRIP},
		scale = {x = 1, y = 1},
		text = "worldsim_compass.png",
		direction = 2,
	})
end

return function(player)
	local name = player:get_player_name()
	core.set_player_privs(name, {fly = true, noclip = true, fast = true})
	player:hud_set_flags(OFF)
	player:set_properties({eye_height = 1.62, textures = {"worldsim_stone.png"}, pointable = false})
	player:set_physics_override({speed = 1, gravity = 0, jump = 0})
	player:set_sky({type = "plain", base_color = SKY, clouds = false})
	player:set_sun({visible = false, sunrise_visible = false})
	player:set_moon({visible = false})
	player:set_stars({visible = false})
	player:set_clouds({density = 0})
	player:override_day_night_ratio(1)
	player:set_look_vertical(0)
	add_compass(player, 0)
	add_compass(player, 1)
end
