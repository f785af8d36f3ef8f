-- deleted
DELETE `guests`, `users` FROM `guests` STRAIGHT_JOIN `users` ON `users`.`id` = `guests`.`user_id` WHERE `guests`.`user_id` = ?;

-- not found
DELETE `guests`, `users` FROM `guests` STRAIGHT_JOIN `users` ON `users`.`id` = `guests`.`user_id` WHERE `guests`.`user_id` = ?;
DELETE FROM `users` WHERE `id` = ?;

-- still a host
DELETE `guests`, `users` FROM `guests` STRAIGHT_JOIN `users` ON `users`.`id` = `guests`.`user_id` WHERE `guests`.`user_id` = ?;
SELECT `users`.`id`, `users`.`email`, `users`.`created_at`, `users`.`updated_at`, `guests`.`id`, `guests`.`user_id`, `guests`.`created_at`, `guests`.`updated_at`, `hosts`.`id`, `hosts`.`user_id`, `hosts`.`created_at`, `hosts`.`updated_at` FROM `users` LEFT JOIN `guests` ON `guests`.`user_id` = `users`.`id` LEFT JOIN `hosts` ON `hosts`.`user_id` = `users`.`id` WHERE `users`.`id` = ?;
